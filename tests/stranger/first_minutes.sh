# What somebody does first who has just installed the package, each time in a new interpreter: it is there, says what it
# finds, and scores. Given: photos/ (pictures).
set -eux

dina-lrm --version
dina-lrm doctor
dina-lrm score --images photos --prompts "a red ring on white" --model synthetic --out scores.csv
