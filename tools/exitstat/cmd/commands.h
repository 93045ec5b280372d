/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands, each of which has a file of its name
 *
 * They take a command line that begins with the command, and return the
 * program's status.
 */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

int cmd_show(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_details(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_guest(int argc, char **argv);
int cmd_reasons(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

#endif
