"""Generation: write words, film chunks, roll a story out."""
