/**
 * The agent's exit status for a fault that only a person can correct: EX_CONFIG of sysexits.h. The unit names it in
 * RestartPreventExitStatus=, so systemd does not start the agent again and again with the same settings.
 */
export const settingsStatus = 78;
