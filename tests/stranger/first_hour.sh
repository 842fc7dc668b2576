# The first hour goes on with nothing but what is found on a disk: a folder of pictures, a table of two columns of them.
# Each line must work at the first try.
# Given: photos/ (pictures, and a text beside each), votes.csv (prompt, chosen, rejected).
set -eux

dina-lrm compare photos/0.png photos/1.png --prompt "a red ring on white" --model synthetic
dina-lrm rank photos --prompt "a red ring on white" --model synthetic --out ranked.html
dina-lrm rank photos --model synthetic --out captioned.html
dina-lrm data check votes.csv
dina-lrm train synthetic --data votes.csv --out runs/first --steps 4
dina-lrm evaluate runs/first --on votes.csv
dina-lrm score --images photos --prompts "a red ring on white" --model runs/first --out own.csv
