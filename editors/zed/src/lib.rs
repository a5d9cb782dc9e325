//! Starts `dlm-lsp` from the PATH of the worktree. Everything else is the server's.
use zed_extension_api::{self as zed, settings::LspSettings, Command, LanguageServerId, Result, Worktree};

struct Dlm;

impl zed::Extension for Dlm {
    fn new() -> Self {
        Dlm
    }

    fn language_server_command(&mut self, _: &LanguageServerId, worktree: &Worktree) -> Result<Command> {
        let command = worktree
            .which("dlm-lsp")
            .ok_or("dlm-lsp is not on the PATH: run pip install . in a checkout of dlm-language-server")?;
        Ok(Command { command, args: vec![], env: worktree.shell_env() })
    }

    fn language_server_workspace_configuration(
        &mut self,
        server: &LanguageServerId,
        worktree: &Worktree,
    ) -> Result<Option<zed::serde_json::Value>> {
        let settings = LspSettings::for_worktree(server.as_ref(), worktree)?.settings;
        Ok(settings.map(|given| zed::serde_json::json!({ "dlm": given })))
    }
}

zed::register_extension!(Dlm);
