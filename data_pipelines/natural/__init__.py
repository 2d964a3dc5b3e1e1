"""Natural video to scenes with words: cut, judged and described."""
