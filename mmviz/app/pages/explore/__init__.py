"""The page Explore: gallery, form, answer and linked viewer."""
