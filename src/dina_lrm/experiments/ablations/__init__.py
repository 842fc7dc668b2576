"""The paper's tables and figures in miniature: reward models trained in many ways on the synthetic world."""
