"""Parts of the page that several pages share."""
