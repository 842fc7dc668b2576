"""The pages of the studio, a file each; the only files that know Gradio, but for the server."""
