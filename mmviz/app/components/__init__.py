"""Parts of the page that several pages use."""
