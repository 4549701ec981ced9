"""How pocket is made: the words, the dialogues, the tokens, the training, the file."""
