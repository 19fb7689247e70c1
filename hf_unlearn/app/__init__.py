"""The page in the browser on which a model forgets: a thin layer over the commands. The extra `app` brings Gradio."""
