"""The Mixture-of-Transformers: a tower per modality, one attention."""
