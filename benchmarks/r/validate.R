# Bootstrap validation by rms::validate, for comparison with ours.
#   Rscript benchmarks/r/validate.R binary IN.csv OUT.json B    y and predictors: corrected indices, and the draws themselves
#   Rscript benchmarks/r/validate.R cox    IN.csv OUT.json B    days, event and predictors: corrected indices and seconds
suppressMessages({ library(rms); library(jsonlite) })

arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[2]); B <- as.integer(arguments[4])
outcomes <- c("y", "days", "event")
predictors <- setdiff(names(data), outcomes)
right <- paste(predictors, collapse = " + ")

if (arguments[1] == "binary") {
  fit <- lrm(as.formula(paste("y ~", right)), data = data, x = TRUE, y = TRUE, tol = 1e-12, eps = 1e-10)
  calibration <- val.prob(plogis(predict(fit)), data$y, pl = FALSE)
  set.seed(1); draws <- t(replicate(B, sample(nrow(data), replace = TRUE)))     # what validate() draws after this seed
  set.seed(1); seconds <- system.time(capture.output(found <- rms::validate(fit, B = B)))
  more <- list(draws = draws, val_prob = as.list(calibration))
} else {
  fit <- cph(as.formula(paste("Surv(days, event) ~", right)), data = data, x = TRUE, y = TRUE)
  set.seed(1); seconds <- system.time(capture.output(found <- rms::validate(fit, B = B)))
  more <- list()
}
index <- unclass(found)[, 1:6]
named <- lapply(setNames(rownames(index), rownames(index)), function(row) as.list(index[row, ]))
write_json(c(list(versions = list(R = paste(R.version$major, R.version$minor, sep = "."),
                                  rms = as.character(packageVersion("rms"))),
                  B = B, cpu_seconds = unname(seconds[1] + seconds[2]), elapsed_seconds = unname(seconds[3]),
                  indices = named), more), arguments[3], digits = 12, auto_unbox = TRUE, pretty = FALSE)
