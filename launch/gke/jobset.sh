#!/usr/bin/env bash
# Writes the JobSet of a run on GKE, on slices of TPUs or on nodes with GPUs.
#
#   NAME=run IMAGE=REGISTRY/tv2tv_jax CLAIM=shared CHIP=v5p TOPOLOGY=4x4x8 HOSTS=32 \
#       bash launch/gke/jobset.sh WORKDIR FLAGS... | kubectl apply -f -
#
# FLAGS are those of launch.train. WORKDIR and all other paths are below
# /shared, where CLAIM, a volume that many pods may write, is mounted.
set -euo pipefail

NAME=${NAME:?name of the run}
IMAGE=${IMAGE:?container image, see launch/gke/Dockerfile}
CLAIM=${CLAIM:?PersistentVolumeClaim, ReadWriteMany}
CHIP=${CHIP:?v5e, v5p, v6e, h100 or h200}
HOSTS=${HOSTS:?hosts of a slice, or nodes with GPUs}
SLICES=${SLICES:-1}                  # of TPUs, joined by the data centre's network
PROGRAM=${PROGRAM:-launch.train}     # or launch.evaluate, which follows a run
RESTARTS=${RESTARTS:-100}            # after that a person should look
GRACE=${GRACE:-600}                  # seconds between SIGTERM and SIGKILL
WAIT=${WAIT:-3600}                   # seconds for all processes to come
SPOT=${SPOT:-}                       # SPOT=1: nodes that may be taken away
SERVICE_ACCOUNT=${SERVICE_ACCOUNT:-default} # what may open the volume
PORT=${PORT:-8476}                   # of process 0, between the pods

if (($# < 1)); then
  echo 'usage: NAME=... bash launch/gke/jobset.sh WORKDIR FLAGS...' >&2
  exit 2
fi

# A string of YAML, whatever is in it.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

tpu() { # accelerator, chips of a host
  TOPOLOGY=${TOPOLOGY:?of a slice, as 4x4x8}
  selector="
                cloud.google.com/gke-tpu-accelerator: $1
                cloud.google.com/gke-tpu-topology: $(quoted "$TOPOLOGY")"
  resource="google.com/tpu: ${CHIPS:-$2}"
  # GKE tells each pod of a slice which it is, and jax reads that.
  found=(--distributed)
}

gpu() { # accelerator
  selector="
                cloud.google.com/gke-accelerator: $1"
  resource="nvidia.com/gpu: ${CHIPS:-8}"
  if ((SLICES != 1)); then
    echo 'error: SLICES is for TPUs; give more HOSTS' >&2
    exit 2
  fi
  # Kubernetes replaces $(...); a JobSet gives its pods these names.
  found=("--coordinator=$NAME-host-0-0.$NAME:$PORT" "--processes=$HOSTS"
    "--process=\$(JOB_COMPLETION_INDEX)")
}

case $CHIP in
  v5e) tpu tpu-v5-lite-podslice 4 ;;
  v5p) tpu tpu-v5p-slice 4 ;;
  v6e) tpu tpu-v6e-slice 4 ;;
  h100) gpu nvidia-h100-80gb ;;
  h200) gpu nvidia-h200-141gb ;;
  *)
    echo "error: CHIP=$CHIP: give v5e, v5p, v6e, h100 or h200" >&2
    exit 2
    ;;
esac
if [[ -n $SPOT ]]; then
  selector+="
                cloud.google.com/gke-spot: 'true'"
fi
if ((SLICES * HOSTS == 1)); then found=(); fi # It is alone.

arguments=
for word in "$PROGRAM" "$1" "${found[@]}" --coordinator_timeout="$WAIT" \
  "${@:2}"; do
  arguments+="
                - $(quoted "$word")"
done

cat << YAML
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $NAME
  annotations:
    # A slice for each job, and a job for each slice.
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
  failurePolicy:
    # Where one pod ends, all begin again, and go on from the last checkpoint.
    maxRestarts: $RESTARTS
    rules:
    # Exit status 2: an error that starting again does not mend.
    - name: stopped_by_an_error
      action: FailJobSet
      onJobFailureReasons:
      - PodFailurePolicy
  replicatedJobs:
  - name: host
    replicas: $SLICES
    template:
      spec:
        parallelism: $HOSTS
        completions: $HOSTS
        completionMode: Indexed
        backoffLimit: 0
        podFailurePolicy:
          rules:
          - action: FailJob
            onExitCodes:
              containerName: trainer
              operator: In
              values: [2]
        template:
          spec:
            restartPolicy: Never
            serviceAccountName: $SERVICE_ACCOUNT
            # The run is told to stop, finishes its step, and saves.
            terminationGracePeriodSeconds: $GRACE
            nodeSelector:$selector
            tolerations:
            - operator: Exists
              effect: NoSchedule
            containers:
            - name: trainer
              image: $IMAGE
              command:
                - bash
                - launch/hosts/attempt.sh
              args:$arguments
              env:
              - name: CHIP
                value: $CHIP
              - name: PYTHONUNBUFFERED
                value: '1'
              resources:
                limits:
                  $resource
              volumeMounts:
              - name: shared
                mountPath: /shared
              - name: memory
                mountPath: /dev/shm
            volumes:
            - name: shared
              persistentVolumeClaim:
                claimName: $CLAIM
            # Worker processes of the data stream hand batches over here.
            - name: memory
              emptyDir:
                medium: Memory
YAML
