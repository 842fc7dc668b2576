# What somebody does who has just installed the package, with nothing but what is found on a disk: a folder of pictures, a
# table of two columns of them, folders of generators. Each line must work at the first try.
# Given: photos/ (pictures, and a text beside each), votes.csv (prompt, chosen, rejected), prompts.txt,
# generators/FAMILY (folders of diffusers).
set -eux

dina-lrm --version
dina-lrm doctor
dina-lrm score --images photos --prompts "a red ring on white" --model synthetic --out scores.csv
dina-lrm compare photos/0.png photos/1.png --prompt "a red ring on white" --model synthetic
dina-lrm rank photos --prompt "a red ring on white" --model synthetic --out ranked.html
dina-lrm rank photos --model synthetic --out captioned.html
dina-lrm data check votes.csv
dina-lrm train synthetic --data votes.csv --out runs/first --steps 4
dina-lrm evaluate runs/first --on votes.csv
dina-lrm score --images photos --prompts "a red ring on white" --model runs/first --out own.csv

for family in generators/*; do
    name=$(basename "$family")
    # Qwen-Image's files do not say how large its pictures are, and the usual 512 pixels take a minute
    small=$(test "$name" = qwen-image && echo resolution 64 || true)
    dina-lrm train --model.pretrained "$family" --data votes.csv --out "runs/$name" --steps 2 ${small:+--model.$small}
    dina-lrm align refl --reward "runs/$name" --prompts prompts.txt --out "runs/aligned-$name" --steps 1 \
        --batch-size 2 --generator.sampling-steps 4 --looks.sampling-steps 4 ${small:+--generator.$small}
    python - "$family" "runs/aligned-$name/lora" <<'END'
import sys
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained(sys.argv[1])
pipeline.load_lora_weights(sys.argv[2])
assert pipeline.get_active_adapters(), "no LoRA is active"
END
done
