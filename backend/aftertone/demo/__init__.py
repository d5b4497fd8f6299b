"""`aftertone demo`: the whole loop on one machine, with a real Label Studio and nothing to install by hand."""
