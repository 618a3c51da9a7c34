#!/usr/bin/env bash
# Run a command with a Kubernetes, which is started before and removed afterwards if there is none:
#
#   hack/with-test-cluster.sh .venv/bin/python -m pytest -q
#
# The first that applies:
#   KUBECONFIG is set     that cluster. Its images are loaded (a cluster of kind), or built and pushed to
#                         JOBPOOLS_REGISTRY=registry.example/team, or given by all of
#                         JOBPOOLS_{WORKER,OPERATOR,VALKEY,SUITE,NEXT,SHOP}_IMAGE.
#   Docker and kind       a new kind cluster, deleted afterwards
#   Linux, root, Go       `test-cluster.sh up`, and `test-cluster.sh down` afterwards, unless it was up before
#   Linux, Go             `test-cluster.sh up --bare`: an API server without nodes; tests that need pods are left out
#   none of these         tests that need a cluster are left out and listed
#
# With CI=true nothing may be left out. JOBPOOLS_CLUSTER=none|bare|own|kind overrides the choice.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[[ $# -gt 0 ]] || { sed -n '2,15p' "$0" | cut -c3-; exit 2; }
IMAGES=(JOBPOOLS_WORKER_IMAGE JOBPOOLS_OPERATOR_IMAGE JOBPOOLS_VALKEY_IMAGE JOBPOOLS_SUITE_IMAGE JOBPOOLS_NEXT_IMAGE JOBPOOLS_SHOP_IMAGE)
started='' child='' scratch=$(mktemp -d)   # started: the kind of cluster that this run started and must remove

say() { echo "with-test-cluster: $*" >&2; }

clean() { # remove what this run started, and nothing else
  trap - EXIT; trap '' INT TERM HUP
  if [[ -n $child ]] && kill -0 "$child" 2>/dev/null; then kill -INT "$child" 2>/dev/null || true; wait "$child" || true; fi
  case $started in
    own | bare) "$here/test-cluster.sh" down ;;
    kind) kind delete cluster --name jobpools-test >/dev/null 2>&1 ;;
  esac
  rm -rf "$scratch"
}
trap clean EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

docker_and_kind() { command -v kind >/dev/null && docker info >/dev/null 2>&1; }

choose() {
  if [[ -n ${JOBPOOLS_CLUSTER:-} ]]; then echo "$JOBPOOLS_CLUSTER"
  elif [[ -n ${KUBECONFIG:-} ]]; then echo given
  elif docker_and_kind; then echo kind
  elif [[ $(uname -s) == Linux ]] && { command -v go >/dev/null || [[ -f $("$here/test-cluster.sh" bin)/stamp ]]; }; then [[ $EUID == 0 ]] && echo own || echo bare
  else echo none; fi
}

build_images() { # build the images, or reuse those of an earlier run; export their names
  "$here/build-images.sh" suite > "$scratch/images"
  while IFS== read -r name value; do export "$name=$value"; done < "$scratch/images"
}

image_names() { for name in "${IMAGES[@]}"; do echo "${!name:-}"; done | sed "/^$/d"; }

use_given() {
  local context; context=$(kubectl config current-context 2>/dev/null || true)
  if [[ $KUBECONFIG == "$("$here/test-cluster.sh" kubeconfig)" ]]; then use_own; return; fi
  for name in "${IMAGES[@]}"; do [[ -n ${!name:-} ]] || missing=1; done
  if [[ -z ${missing:-} ]]; then say "using the cluster of KUBECONFIG ($context) and the images of JOBPOOLS_*_IMAGE"
  elif [[ $context == kind-* ]]; then build_images; image_names | xargs kind load docker-image --name "${context#kind-}" >/dev/null 2>&1
  elif [[ -n ${JOBPOOLS_REGISTRY:-} ]]; then build_images
  else say "KUBECONFIG: its nodes cannot pull the images of this machine; set JOBPOOLS_REGISTRY, or all of ${IMAGES[*]}"; left_out=cluster; fi
}

start_or_reuse() { # WHAT UP-OPTION...: use the project's own cluster; this run owns it unless it was up before
  local what=$1 owner reported=''; shift
  while owner=$("$here/test-cluster.sh" owner); [[ -n $owner && $owner != gone ]]; do
    [[ $owner == "$reported" ]] || say "waiting for the run that has the cluster (process $owner)"
    reported=$owner; sleep 1
  done
  if [[ $owner == gone ]]; then say "taking down the cluster of a run that was killed"; "$here/test-cluster.sh" down; fi
  if "$here/test-cluster.sh" running; then say "using the cluster that is up, and leaving it up"; else started=$what; fi
  CLUSTER_OWNER=$$ "$here/test-cluster.sh" up "$@" >/dev/null
}

use_own() {
  export PATH JOBPOOLS_BUILDER=buildah; PATH=$("$here/test-cluster.sh" bin):$PATH
  start_or_reuse own
  KUBECONFIG=$("$here/test-cluster.sh" kubeconfig); export KUBECONFIG
  build_images; image_names | xargs "$here/test-cluster.sh" load
}

use_bare() {
  export PATH CLUSTER_RUN=${CLUSTER_RUN:-/tmp/jobpools-cluster-bare-$UID}
  PATH=$("$here/test-cluster.sh" bin):$PATH
  start_or_reuse bare --bare
  KUBECONFIG=$("$here/test-cluster.sh" kubeconfig) left_out=cluster; export KUBECONFIG
}

use_kind() {
  started=kind; export KUBECONFIG=$scratch/kubeconfig
  kind delete cluster --name jobpools-test >/dev/null 2>&1 || true
  say "starting a kind cluster (a minute or two)"
  kind create cluster --name jobpools-test --config "$here/../kind-config.yaml" --wait 120s >/dev/null 2>&1 || { say "kind: no cluster could be created; kind create cluster --config kind-config.yaml shows the cause"; exit 1; }
  build_images; say "loading the images into the kind cluster"; image_names | xargs kind load docker-image --name jobpools-test >/dev/null 2>&1
}

left_out=''
case $(choose) in
  given) use_given ;;
  kind) use_kind ;;
  own) use_own ;;
  bare) use_bare ;;
  *) left_out="cluster api" ;;
esac

report() { # print which tests are left out, and how to run them
  local what=Kubernetes; [[ $left_out != cluster ]] || what="Kubernetes with nodes"
  say "left out, because there is no $what: $(awk '{n += $2} END {print n + 0}' "$scratch/left-out") tests"
  sed 's/^/  /' "$scratch/left-out" >&2
  say "to run them: KUBECONFIG of a cluster; or Docker and kind; or Linux, root and Go (docs/testing.md)"
}

if [[ -n $left_out ]]; then
  marks=${left_out// / or }
  "$@" --collect-only -qq -m "$marks" -p no:cacheprovider 2>/dev/null | grep -E '^[^ ]+: [0-9]+$' > "$scratch/left-out" || true
  if [[ ${CI:-} == true ]]; then report; say "CI=true: nothing may be left out; start a cluster or unset CI"; exit 1; fi
  set -- "$@" -m "not (${marks})"
fi

set -m   # the command has its own process group: Ctrl-C reaches this script, and clean passes it on and waits for its end
"$here/end-with-parent.sh" INT "$@" & child=$!
status=0; wait "$child" || status=$?
child=''
[[ -z $left_out ]] || report
exit "$status"
