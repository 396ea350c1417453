"""CT -> thorax -> line integrals."""
