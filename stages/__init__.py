"""understudy: recordings of a person playing go in, an agent that plays comes out."""
