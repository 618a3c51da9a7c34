#!/usr/bin/env bash
# Build the container images, with docker, or with buildah if there is no Docker (Linux, root).
#
#   build-images.sh [TAG]      jobpools-worker:TAG and jobpools-operator:TAG (default: dev)
#   build-images.sh suite      the images of the cluster suite, tagged by content; prints a line JOBPOOLS_…_IMAGE=… for each
#
# PYTHON_IMAGE: the base (default: python:3.13-slim; with buildah: Debian's Python, made by `test-cluster.sh base`).
# JOBPOOLS_BUILDER=buildah: use buildah even if there is Docker, because the node of test-cluster.sh cannot see Docker's images.
# JOBPOOLS_REGISTRY: push the images of `build-images.sh suite` there. pip uses the index, trusted hosts and timeout of this host.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT

die() { echo "build-images: $*" >&2; exit 1; }

choose_builder() { # set the builder and its base image
  if [[ ${JOBPOOLS_BUILDER:-docker} == docker ]] && docker info >/dev/null 2>&1; then builder=docker base=${PYTHON_IMAGE:-python:3.13-slim}; return; fi
  [[ $(uname -s) == Linux && $EUID == 0 ]] || die "no Docker daemon responds, and buildah needs Linux and root; start Docker, or run as root on Linux"
  "$here/test-cluster.sh" deps
  builder=buildah base=${PYTHON_IMAGE:-localhost/jobpools-python:bookworm}
  [[ -n ${PYTHON_IMAGE:-} ]] || "$here/test-cluster.sh" base "$base"
}

pip_conf() { # write the settings of this host's pip to a file; they may hold a password, so the build gets them as a secret
  local python   # the system's Python may have no pip
  for python in "${PYTHON:-python3}" .venv/bin/python; do "$python" -m pip --version >/dev/null 2>&1 && break; done
  (umask 077; { echo '[global]'; { "$python" -m pip config list 2>/dev/null || true; } | sed -nE "s/^[^=]*\.(index-url|extra-index-url|trusted-host|default-timeout|timeout|proxy)='(.*)'$/\1 = \2/p" \
    | sed 's/^default-timeout/timeout/' | sort -u; } > "$scratch/pip.conf")
}

build() { # TAG FILE CONTEXT ARGS...
  local tag=$1 file=$2 context=$3; shift 3
  local command=(docker build --quiet)
  [[ $builder == docker ]] || command=(buildah build --quiet --layers)
  "${command[@]}" --tag "$tag" --file "$file" --secret "id=pip.conf,src=$scratch/pip.conf" "$@" "$context" >"$scratch/log" 2>&1 \
    || { cat "$scratch/log" >&2; die "$tag: the build failed; its output is above"; }
}

is_built() { if [[ $builder == docker ]]; then docker image inspect "$1"; else buildah inspect --type image "$1"; fi >/dev/null 2>&1; }

remove_earlier() { # NAME TAG: remove earlier versions of an image of the suite
  if [[ $builder == docker ]]; then docker images --format '{{.Repository}}:{{.Tag}}'; else buildah images --format '{{.Name}}:{{.Tag}}'; fi \
    | grep -F "$1:" | grep -vx "$1:$2" | xargs -r "$builder" rmi >/dev/null 2>&1 || true
}

digest() { # PATHS...: print a digest of the content below them
  { echo "$base"; find "$@" -type f -not -path '*/__pycache__/*' -not -path '*/.*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-12
}

suite_image() { # NAME VARIABLE PATHS -- FILE CONTEXT ARGS...
  local name=$1 variable=$2 paths=(); shift 2
  while [[ $1 != -- ]]; do paths+=("$1"); shift; done; shift
  local repository=${JOBPOOLS_REGISTRY:-localhost}/jobpools-$name tag; tag=$(digest "${paths[@]}")
  is_built "$repository:$tag" || { echo "build-images: building jobpools-$name" >&2; build "$repository:$tag" "$@"; }
  [[ -z ${JOBPOOLS_REGISTRY:-} ]] || "$builder" push -q "$repository:$tag" >/dev/null || die "$repository:$tag: it could not be pushed; log in to the registry, or unset JOBPOOLS_REGISTRY"
  remove_earlier "$repository" "$tag"
  printf -v "$variable" %s "$repository:$tag"
  echo "$variable=$repository:$tag"
}

suite() {
  local python=(--build-arg "PYTHON_IMAGE=$base") code=(pyproject.toml README.md LICENSE .dockerignore worker operator)
  suite_image worker JOBPOOLS_WORKER_IMAGE "${code[@]}" -- worker/Dockerfile . "${python[@]}"
  suite_image operator JOBPOOLS_OPERATOR_IMAGE "${code[@]}" -- operator/Dockerfile . "${python[@]}"
  suite_image valkey JOBPOOLS_VALKEY_IMAGE tests/cluster/valkey -- tests/cluster/valkey/Dockerfile tests/cluster/valkey "${python[@]}"
  local worker=(--build-arg "WORKER_IMAGE=$JOBPOOLS_WORKER_IMAGE")
  suite_image suite JOBPOOLS_SUITE_IMAGE "${code[@]}" tests/cluster/app -- tests/cluster/app/Dockerfile tests/cluster/app "${worker[@]}"
  suite_image suite-next JOBPOOLS_NEXT_IMAGE "${code[@]}" tests/cluster/app -- tests/cluster/app/Dockerfile tests/cluster/app "${worker[@]}" --build-arg VERSION=2 --no-cache  # buildah's cache ignores the value of Y in ENV X=${Y}
  local shop=(examples/shop/Dockerfile examples/shop/requirements.txt examples/shop/shop)
  suite_image shop JOBPOOLS_SHOP_IMAGE "${code[@]}" "${shop[@]}" -- examples/shop/Dockerfile . "${worker[@]}"
  if [[ -z ${JOBPOOLS_REGISTRY:-} ]]; then   # the image name in examples/shop, as a node expands it
    "$builder" tag "$JOBPOOLS_SHOP_IMAGE" docker.io/library/jobpools-shop:dev
    echo JOBPOOLS_SHOP_IMAGE=docker.io/library/jobpools-shop:dev
  fi
}

choose_builder; pip_conf
case ${1:-dev} in
  suite) suite ;;
  -*) sed -n '2,9p' "$0" | cut -c3-; exit 2 ;;
  *)
    for name in worker operator; do
      build "jobpools-$name:${1:-dev}" "$name/Dockerfile" . --build-arg "PYTHON_IMAGE=$base"
      echo "jobpools-$name:${1:-dev}"
    done ;;
esac
