"""The architectures of published judges written down anew, with the names of their own repositories, at tiny size."""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """open_clip's residual attention block."""

    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x, mask=None):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Blocks(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.resblocks = nn.ModuleList(Residual(width, heads) for _ in range(layers))

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class OpenClipVision(nn.Module):
    def __init__(self, shape, embed_dim):
        super().__init__()
        width, patch = shape["width"], shape["patch_size"]
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((shape["image_size"] // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Blocks(width, width // shape["head_width"], shape["layers"])
        self.proj = nn.Parameter(torch.randn(width, embed_dim))

    def forward(self, x):
        x = self.conv1(x).flatten(2).mT
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class OpenClip(nn.Module):
    """open_clip's CLIP: pictures and tokens to their cosine; a text ends with its highest token."""

    def __init__(self, shape):
        super().__init__()
        text = shape["text_cfg"]
        self.visual = OpenClipVision(shape["vision_cfg"], shape["embed_dim"])
        self.transformer = Blocks(text["width"], text["heads"], text["layers"])
        self.token_embedding = nn.Embedding(text["vocab_size"], text["width"])
        self.positional_embedding = nn.Parameter(torch.randn(text["context_length"], text["width"]))
        self.ln_final = nn.LayerNorm(text["width"])
        self.text_projection = nn.Parameter(torch.randn(text["width"], shape["embed_dim"]))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def text(self, tokens):
        length = tokens.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        x = self.ln_final(self.transformer(x, mask))
        return x[torch.arange(len(x)), tokens.argmax(dim=1)] @ self.text_projection

    def forward(self, pixels, tokens):
        return F.cosine_similarity(self.visual(pixels), self.text(tokens))


class PublishedMlp(nn.Module):
    """ImageReward's and LAION's layers, with the dropout that they were trained with."""

    def __init__(self, width):
        super().__init__()
        steps = [nn.Linear(width, 16), nn.Dropout(0.2), nn.Linear(16, 8), nn.Dropout(0.2), nn.Linear(8, 6)]
        self.layers = nn.Sequential(*steps, nn.Dropout(0.1), nn.Linear(6, 4), nn.Linear(4, 1))

    def forward(self, x):
        return self.layers(x)


class TimmAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TimmBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = TimmAttention(width, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class BlipVision(nn.Module):
    """BLIP's vision transformer, as timm names it."""

    def __init__(self, width, heads, layers, side, patch):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width))
        self.blocks = nn.ModuleList(TimmBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).mT
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class BertAttention(nn.Module):
    def __init__(self, width, heads, source):
        super().__init__()
        self.heads = heads
        inner = {"query": nn.Linear(width, width), "key": nn.Linear(source, width), "value": nn.Linear(source, width)}
        self.add_module("self", nn.ModuleDict(inner))
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

    def forward(self, x, source, mask=None):
        inner = self.get_submodule("self")
        parts = (inner[name](given) for name, given in (("query", x), ("key", source), ("value", source)))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        return self.output["LayerNorm"](self.output["dense"](read) + x)


class BertLayer(nn.Module):
    def __init__(self, width, heads, source, inner):
        super().__init__()
        self.attention = BertAttention(width, heads, width)
        self.crossattention = BertAttention(width, heads, source)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

    def forward(self, x, mask, seen):
        x = self.crossattention(self.attention(x, x, mask), seen)
        return self.output["LayerNorm"](self.output["dense"](F.gelu(self.intermediate["dense"](x))) + x)


class BlipText(nn.Module):
    """BLIP's BERT, whose every layer looks at the picture."""

    def __init__(self, vocabulary, width, heads, layers, source, inner, positions):
        super().__init__()
        names = {"word_embeddings": vocabulary, "position_embeddings": positions}
        tables = {name: nn.Embedding(rows, width) for name, rows in names.items()}
        self.embeddings = nn.ModuleDict(tables | {"LayerNorm": nn.LayerNorm(width, eps=1e-12)})
        stack = nn.ModuleList(BertLayer(width, heads, source, inner) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layer": stack})

    def forward(self, tokens, mask, seen):
        places = torch.arange(tokens.shape[1])
        x = self.embeddings["word_embeddings"](tokens) + self.embeddings["position_embeddings"](places)
        x = self.embeddings["LayerNorm"](x)
        for layer in self.encoder["layer"]:
            x = layer(x, mask.bool()[:, None, None, :], seen)
        return x


class OriginalImageReward(nn.Module):
    """Width 64 is one head of 64, as in BLIP; `temp` and the projections are of BLIP's pretraining."""

    def __init__(self, vocabulary, side=16, patch=8):
        super().__init__()
        text = BlipText(vocabulary, 32, 2, 2, source=64, inner=48, positions=40)
        parts = {"visual_encoder": BlipVision(64, 1, 2, side, patch), "text_encoder": text}
        self.blip = nn.ModuleDict(parts | {"vision_proj": nn.Linear(64, 4), "text_proj": nn.Linear(32, 4)})
        self.mlp = PublishedMlp(32)

    def forward(self, pixels, tokens, mask):
        seen = self.blip["visual_encoder"](pixels)
        raw = self.mlp(self.blip["text_encoder"](tokens, mask, seen)[:, 0])[:, 0]
        return (raw - 0.16717362830052426) / 1.0333394966054072
