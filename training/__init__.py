"""The recipe of the shipped model: data, drawn pages, network, training, export. docscan never imports it."""
