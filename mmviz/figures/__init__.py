"""Arrays and tokens in, figures out: Plotly and HTML for the page, matplotlib for paper."""
