"""Arrays and tokens to figures: Plotly and HTML for the page, matplotlib for print."""
