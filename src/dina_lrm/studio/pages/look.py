"""How the pages look: quiet colours in light and dark, no fonts and no scripts from elsewhere."""

from __future__ import annotations

from typing import Final

import gradio as gr

from dina_lrm.reports.html import part_style

_FONTS: Final = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif")
THEME: Final = gr.themes.Default(
    primary_hue="blue", neutral_hue="slate", font=list(_FONTS), font_mono=["ui-monospace", "Menlo", "monospace"]
)
_OWN: Final = """
.part, .dark .part { --paper: var(--body-background-fill); }
.part { contain: inline-size; overflow-wrap: anywhere; }
.part h2, .part h4 { font-weight: 650; }
.part ul { padding-left: 1.2rem; }
.part section { margin: 1.4rem 0; }
.part .picture { width: calc((100% - 1.8rem) / 3); min-width: 9rem; max-width: 16rem; }
.part .grid .row .pictures .picture img { width: 100%; }
.problem { border-left: 4px solid #d55e00; padding: .4rem .9rem; margin: 0; overflow-wrap: anywhere; }
.work progress { appearance: none; display: block; width: 100%; height: .6rem; border: 0; border-radius: .3rem; }
.work progress, .work progress::-webkit-progress-bar { background: var(--border-color-primary); border-radius: .3rem; }
.work progress::-webkit-progress-value { background: var(--color-accent); border-radius: .3rem; }
.work progress::-moz-progress-bar { background: var(--color-accent); border-radius: .3rem; }
.work p { margin: .5rem 0; }
.waits { color: var(--body-text-color-subdued); }
.gradio-container { width: 100% !important; max-width: 78rem !important; margin: 0 auto !important; }
@media (max-width: 44rem) {
  .gradio-container, .gradio-container main { padding: .4rem !important; }
}
"""
HEAD: Final = f'<meta name="color-scheme" content="light dark"><style>{part_style(".dark")}{_OWN}</style>'
