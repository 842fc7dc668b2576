# The first hour goes on with folders of generators: train on each, align it, and use its LoRA without this package.
# Given: votes.csv (prompt, chosen, rejected), prompts.txt, generators/FAMILY (folders of diffusers).
set -eux

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
