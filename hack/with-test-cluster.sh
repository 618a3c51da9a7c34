#!/usr/bin/env bash
# Gives a command (pytest) a Kubernetes, and takes it away again:  with-test-cluster.sh .venv/bin/python -m pytest -q
#
#   KUBECONFIG is set     that cluster. Where it gets the images from: it is one of kind's (loaded), or JOBPOOLS_REGISTRY=registry.example/team
#                         (built and pushed there), or all of JOBPOOLS_{WORKER,OPERATOR,VALKEY,SUITE,NEXT,SHOP}_IMAGE are given.
#   Docker and kind       a kind cluster of its own, deleted afterwards
#   Linux, root, Go       `test-cluster.sh up`, and `test-cluster.sh down` afterwards, unless it was up before
#   Linux, Go             `test-cluster.sh up --bare`: an API server without nodes; tests that need pods are left out
#   nothing of it         tests that need a cluster are left out, and it says which
#
# With CI=true nothing may be left out. JOBPOOLS_CLUSTER=none|bare|own|kind chooses by hand.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[[ $# -gt 0 ]] || { sed -n '2,12p' "$0" | cut -c3-; exit 2; }
IMAGES=(JOBPOOLS_WORKER_IMAGE JOBPOOLS_OPERATOR_IMAGE JOBPOOLS_VALKEY_IMAGE JOBPOOLS_SUITE_IMAGE JOBPOOLS_NEXT_IMAGE JOBPOOLS_SHOP_IMAGE)
ours='' child='' scratch=$(mktemp -d)

say() { echo "with-test-cluster: $*" >&2; }

clean() { # what we started, and nothing else
  trap - EXIT; trap '' INT TERM HUP
  if [[ -n $child ]] && kill -0 "$child" 2>/dev/null; then kill -INT "$child" 2>/dev/null || true; wait "$child" || true; fi
  case $ours in
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

images() { # builds them (or takes them from last time) and exports their names
  "$here/build-images.sh" suite > "$scratch/images"
  while IFS== read -r name value; do export "$name=$value"; done < "$scratch/images"
}

names() { for name in "${IMAGES[@]}"; do echo "${!name:-}"; done | sed "/^$/d"; }

given() {
  local context; context=$(kubectl config current-context 2>/dev/null || true)
  if [[ $KUBECONFIG == "$("$here/test-cluster.sh" kubeconfig)" ]]; then own; return; fi
  for name in "${IMAGES[@]}"; do [[ -n ${!name:-} ]] || missing=1; done
  if [[ -z ${missing:-} ]]; then say "using the cluster of KUBECONFIG ($context), images as named"
  elif [[ $context == kind-* ]]; then images; names | xargs kind load docker-image --name "${context#kind-}" >/dev/null 2>&1
  elif [[ -n ${JOBPOOLS_REGISTRY:-} ]]; then images
  else say "KUBECONFIG is set, but not where its nodes can pull images from: set JOBPOOLS_REGISTRY, or all of ${IMAGES[*]}"; left_out=cluster; fi
}

take() { # WHAT UP-OPTION...: the project's own cluster, which this run owns unless it was up before
  local what=$1 owner told=''; shift
  while owner=$("$here/test-cluster.sh" owner); [[ -n $owner && $owner != gone ]]; do
    [[ $owner == "$told" ]] || say "waiting for the run that has the cluster (process $owner)"
    told=$owner; sleep 1
  done
  if [[ $owner == gone ]]; then say "taking down the cluster of a run that was killed"; "$here/test-cluster.sh" down; fi
  if "$here/test-cluster.sh" running; then say "using the cluster that is up, and leaving it up"; else ours=$what; fi
  CLUSTER_OWNER=$$ "$here/test-cluster.sh" up "$@" >/dev/null
}

own() {
  export PATH JOBPOOLS_BUILDER=buildah; PATH=$("$here/test-cluster.sh" bin):$PATH
  take own
  KUBECONFIG=$("$here/test-cluster.sh" kubeconfig); export KUBECONFIG
  images; names | xargs "$here/test-cluster.sh" load
}

bare() {
  export PATH CLUSTER_RUN=${CLUSTER_RUN:-/tmp/jobpools-cluster-bare-$UID}
  PATH=$("$here/test-cluster.sh" bin):$PATH
  take bare --bare
  KUBECONFIG=$("$here/test-cluster.sh" kubeconfig) left_out=cluster; export KUBECONFIG
}

kind_cluster() {
  ours=kind; export KUBECONFIG=$scratch/kubeconfig
  kind delete cluster --name jobpools-test >/dev/null 2>&1 || true
  say "making a kind cluster (a minute or two)"
  kind create cluster --name jobpools-test --config "$here/../kind-config.yaml" --wait 120s >/dev/null 2>&1 || { say "kind could not make a cluster: kind create cluster --config kind-config.yaml says why"; exit 1; }
  images; say "loading the images into the kind cluster"; names | xargs kind load docker-image --name jobpools-test >/dev/null 2>&1
}

left_out=''
case $(choose) in
  given) given ;;
  kind) kind_cluster ;;
  own) own ;;
  bare) bare ;;
  *) left_out="cluster api" ;;
esac

report() { # which tests are left out, and how to run them
  local what=Kubernetes; [[ $left_out != cluster ]] || what="Kubernetes with nodes"
  say "left out for want of a $what: $(awk '{n += $2} END {print n + 0}' "$scratch/left-out") tests"
  sed 's/^/  /' "$scratch/left-out" >&2
  say "to run them: KUBECONFIG of a cluster; or Docker and kind; or Linux, root and Go (docs/testing.md)"
}

if [[ -n $left_out ]]; then
  marks=${left_out// / or }
  "$@" --collect-only -qq -m "$marks" -p no:cacheprovider 2>/dev/null | grep -E '^[^ ]+: [0-9]+$' > "$scratch/left-out" || true
  if [[ ${CI:-} == true ]]; then report; say "with CI=true nothing may be left out"; exit 1; fi
  set -- "$@" -m "not (${marks})"
fi

set -m   # a process group of its own: Ctrl-C comes to us, we pass it on, and clean up when it has ended
"$here/end-with-parent.sh" INT "$@" & child=$!
status=0; wait "$child" || status=$?
child=''
[[ -z $left_out ]] || report
exit "$status"
