"""`docs/python.md` lists every attribute of Context, every option of a job and every field of Retry."""

from jobpools import Context, Retry
from jobpools.options import HandlerValues, OptionValues
from tests.docs.tables import names, rows, section

PAGE = "python.md"


def test_the_table_of_ctx_has_every_attribute_of_context() -> None:
    listed = [name for cells in rows(section(PAGE, "Jobs")) for name in names(cells[0])]
    assert sorted(listed) == sorted(name for name in vars(Context) if not name.startswith("_"))


def test_the_table_of_options_has_every_option_and_where_it_can_be_given() -> None:
    table = {names(cells[0])[0]: (cells[1], cells[2]) for cells in rows(section(PAGE, "Enqueueing"))}
    in_decorator = HandlerValues.__annotations__
    assert table == {name: ("yes" if name in in_decorator else "", "yes") for name in OptionValues.__annotations__}


def test_the_table_of_retry_has_every_field() -> None:
    listed = [names(cells[0])[0] for cells in rows(section(PAGE, "Retries"))]
    assert sorted(listed) == sorted(Retry.model_fields)
