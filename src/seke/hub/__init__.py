"""Export to the Hugging Face Hub: datasets as parquet, cards of data and models, licences."""
