"""What goes to the Hugging Face Hub: datasets as parquet, cards, licences."""
