/* The client verbs and what completion and help know of them. */
#ifndef MR_CLI_VERBS_H
#define MR_CLI_VERBS_H

#include "cli/options.h"

int mr_cli_deploy(int argc, char **argv);
int mr_cli_predict(int argc, char **argv);
int mr_cli_models(int argc, char **argv);
int mr_cli_keys(int argc, char **argv);
int mr_cli_logs(int argc, char **argv);
int mr_cli_metrics(int argc, char **argv);
int mr_cli_doctor(int argc, char **argv);
int mr_cli_prices(int argc, char **argv);
int mr_cli_generate(int argc, char **argv);
int mr_cli_chat(int argc, char **argv);
int mr_cli_classify(int argc, char **argv);
int mr_cli_ocr(int argc, char **argv);
int mr_cli_jobs(int argc, char **argv);
int mr_cli_completion(int argc, char **argv);

extern const struct mr_spec mr_deploy_spec, mr_predict_spec, mr_models_spec, mr_keys_spec,
    mr_logs_spec, mr_metrics_spec, mr_prices_spec, mr_doctor_spec, mr_completion_spec,
    mr_version_spec, mr_generate_spec, mr_chat_spec, mr_classify_spec, mr_ocr_spec, mr_jobs_spec;

#endif
