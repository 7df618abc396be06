"""The world that trio learns from: scenes, speech, questions, and the truth about them."""
