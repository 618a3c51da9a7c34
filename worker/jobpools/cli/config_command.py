"""`jobpools config`: each setting of a worker with its value and where it came from."""

from jobpools.cli.output import Output, show
from jobpools.cli.parameters import Format
from jobpools.cli.setting_options import AppName, ConfigFile, Preset


def config(
    app: AppName = None, *, preset: Preset = None, config: ConfigFile = None, output: Format = Output.TABLE
) -> None:
    """Show each setting of a worker, and where it comes from.

    The settings are those of a worker that is started here with these options. An option precedes the environment, then
    jobpools.toml or [tool.jobpools] in pyproject.toml, the preset and the default. Unknown and invalid settings are all
    listed, each with its place, and the exit code is 1. With APP, the Redis URL that this App names is shown if a
    worker would use it. Passwords in URLs are not shown.
    """
    from jobpools.cli import config_rows

    rows = config_rows.read({"app": app, "preset": preset, "config": config})
    if output is Output.TABLE:
        rows = [config_rows.with_text(row) for row in rows]
    show(rows, ("setting", "value", "from"), output, "")
    config_rows.print_notes()
