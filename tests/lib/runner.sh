# shellcheck shell=bash
# Runs steps, times them, and prints what came of each. Knows nothing of what a step does.

KEEP_GOING=false
SKIPPED=77 # the exit code of a step that skipped itself
RECORD=$(mktemp -d) # what a step's subshell hands back: tools.tsv, skips
trap 'rm -rf "$RECORD"' EXIT

in_ci() { [[ ${CI:-} == true ]]; }

# lack TEXT: a part of this step cannot run. In CI that fails the step; elsewhere it is said now and again at the end.
lack() {
  if in_ci; then
    echo "failed: $1; CI=true skips nothing"
    exit 1
  fi
  echo "skipped: $1"
  echo "$1" >>"$RECORD/skips"
}

# skip TEXT: nothing of this step can run.
skip() {
  lack "$1"
  exit "$SKIPPED"
}

run_steps() {
  local step result code start failed=0 passed=0 rows=()
  for step in "$@"; do
    if [[ $failed -gt 0 && $KEEP_GOING == false ]]; then
      rows+=("$(printf '%-26s not run' "$step")")
      continue
    fi
    printf '\n=== %s\n' "$step"
    start=$SECONDS
    : >"$RECORD/tools.tsv"
    # Not in a condition: bash would switch errexit off inside.
    (
      set -e
      run_step "$step"
    )
    code=$?
    case $code in
      0) result=passed passed=$((passed + 1)) ;;
      "$SKIPPED") result=skipped ;;
      *) result=FAILED failed=$((failed + 1)) && echo "=== $step failed with exit code $code" ;;
    esac
    rows+=("$(printf '%-26s %-9s %5d s' "$step" "$result" $((SECONDS - start)))")
    while IFS=$'\t' read -r tool seconds; do
      rows+=("$(printf '  %-24s installed %5d s' "$tool" "$seconds")")
    done <"$RECORD/tools.tsv"
  done

  printf '\n=== summary\n'
  printf '%s\n' "${rows[@]}" "$(printf '%-36s %5d s' 'all together' "$SECONDS")"
  if [[ -s $RECORD/skips ]]; then
    sort -u "$RECORD/skips" | sed 's/^/skipped: /'
  fi
  echo "$passed passed, $failed failed"
  [[ $failed -eq 0 ]]
}
