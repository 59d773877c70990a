# Predicted risks on public data of R's `survival` package (LGPL), for comparing metrics on real follow-up.
#
#   Rscript benchmarks/r/survival_data.R FOLDER
#
# Writes FOLDER/{gbsg,colon,mgus2,nafld1}.csv with code (0 censored, 1 event, 2 competing), days and risk_<horizon>. The
# data stay where R is: only numbers computed from them are in this repository. Horizons end in .5 so that nobody is
# censored on the very day (there the conventions differ: see docs/statistics.md).
suppressPackageStartupMessages({ library(survival); library(riskRegression); library(prodlim) })

write_risks <- function(folder, name, code, days, risks, horizons) {
  colnames(risks) <- paste0("risk_", horizons)
  write.csv(cbind(data.frame(code = code, days = days), risks), file.path(folder, paste0(name, ".csv")), row.names = FALSE)
}

halves <- function(data) list(train = data[seq(1, nrow(data), 2), ], test = data[seq(2, nrow(data), 2), ])

breast <- function(data, nodes_limit) {
  nodes <- pmin(data$nodes, nodes_limit)
  data$csize <- if (is.factor(data$size)) data$size else cut(data$size, c(-1, 20, 50, 500), c("<=20", "20-50", ">50"))
  data$nodes2 <- nodes
  data$nodes3 <- as.vector(Hmisc::rcspline.eval(nodes, knots = c(0, 1, 9)))
  data$grade3 <- factor(data$grade == 3)
  data
}

# The model of McLernon 2023 (STRATOS): Rotterdam, first five years, to GBSG.
rotterdam_to_gbsg <- function(folder) {
  limit <- quantile(rotterdam$nodes, 0.99, type = 1)
  train <- breast(rotterdam, limit); test <- breast(gbsg, limit)
  train$rfs <- pmax(train$recur, train$death)
  late <- with(train, rfs == 1 & recur == 0 & death == 1 & rtime < dtime)
  train$days <- ifelse(late, train$dtime, train$rtime)
  five <- survSplit(Surv(days, rfs) ~ ., data = train, cut = 5 * 365.25, episode = "epoch")
  fit <- coxph(Surv(days, rfs) ~ csize + nodes2 + nodes3 + grade3, data = subset(five, epoch == 1), x = TRUE)
  horizons <- c(730.5, 1826.25)
  write_risks(folder, "gbsg", test$status, test$rfstime, predictRisk(fit, newdata = test, times = horizons), horizons)
}

# Recurrence of colon cancer, death without it competing.
colon_recurrence <- function(folder) {
  recur <- subset(colon, etype == 1); death <- subset(colon, etype == 2)
  death <- death[match(recur$id, death$id), ]
  recur$code <- ifelse(recur$status == 1, 1, ifelse(death$status == 1, 2, 0))
  recur$days <- ifelse(recur$status == 1, recur$time, death$time)
  data <- halves(na.omit(recur[, c("code", "days", "rx", "age", "nodes", "extent", "obstruct", "surg")]))
  fit <- CSC(Hist(days, code) ~ rx + age + nodes + extent + obstruct + surg, data = data$train)
  horizons <- c(365.5, 1461.5)
  risks <- predictRisk(fit, newdata = data$test, times = horizons, cause = 1)
  write_risks(folder, "colon", data$test$code, data$test$days, risks, horizons)
}

# Progression of a monoclonal gammopathy, death competing; follow-up in months, as 30.4375 days.
mgus_progression <- function(folder) {
  mgus2$code <- with(mgus2, ifelse(pstat == 1, 1, 2 * death))
  mgus2$days <- with(mgus2, ifelse(pstat == 1, ptime, futime)) * 30.4375
  data <- halves(na.omit(mgus2[, c("code", "days", "age", "sex", "hgb", "creat", "mspike")]))
  fit <- CSC(Hist(days, code) ~ age + sex + hgb + creat + mspike, data = data$train)
  horizons <- c(1826.5, 3652.5)
  risks <- predictRisk(fit, newdata = data$test, times = horizons, cause = 1)
  write_risks(folder, "mgus2", data$test$code, data$test$days, risks, horizons)
}

# Death in fatty liver disease and controls, 17,549 people.
nafld_death <- function(folder) {
  data <- halves(na.omit(nafld1[nafld1$futime > 0, c("status", "futime", "age", "male", "bmi")]))
  fit <- coxph(Surv(futime, status) ~ age + male + bmi, data = data$train, x = TRUE)
  horizons <- c(1826.5, 3652.5)
  write_risks(folder, "nafld1", data$test$status, data$test$futime, predictRisk(fit, data$test, times = horizons), horizons)
}

folder <- commandArgs(trailingOnly = TRUE)[1]
dir.create(folder, showWarnings = FALSE, recursive = TRUE)
for (build in list(rotterdam_to_gbsg, colon_recurrence, mgus_progression, nafld_death)) build(folder)
