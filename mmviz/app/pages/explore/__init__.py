"""The page Explore: gallery, form, answer, linked viewer."""
