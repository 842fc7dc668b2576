"""The page of pictures from best to worst, and its thumbnails."""
