"""The pages: Explore, Debug and Learn."""
