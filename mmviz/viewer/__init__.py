"""The linked viewer: its data (`codes`, `container`), its sentences (`words`), and its JavaScript as one (`pack`)."""
