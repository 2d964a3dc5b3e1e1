"""Laws: what holds of the tree as a whole, whatever the code does."""
