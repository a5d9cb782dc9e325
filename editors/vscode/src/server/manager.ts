// The server's life: found, started, restarted when another one is meant, told of trust. One change at a time.

import * as vscode from "vscode";
import { type LanguageClient, State } from "vscode-languageclient/node";
import { createClient, type Hooks } from "../client.ts";
import type { Channels } from "../logs.ts";
import { WORKSPACE_TRUST } from "../protocol.ts";
import type { Statuses } from "../statuses.ts";
import type { ServerState } from "../views/statusText.ts";
import { type Discovery, discover, type Launch, sameLaunch } from "./discovery.ts";
import { examine } from "./probe.ts";
import type { ActiveEnvironment } from "./python.ts";
import { bundled, files, surroundings } from "./surroundings.ts";

export class ServerManager implements vscode.Disposable {
  private client_: LanguageClient | null = null;
  private launch_: Launch | null = null;
  private discovery_: Discovery | null = null;
  private work: Promise<void> = Promise.resolve();
  private queued: Promise<void> | null = null;
  private readonly stateChanged = new vscode.EventEmitter<ServerState>();
  private readonly missing = new vscode.EventEmitter<Discovery>();
  private state_: ServerState = "stopped";

  readonly onDidChangeState = this.stateChanged.event;
  /** No server can be started; fired once for each different reason. */
  readonly onMissing = this.missing.event;
  private told = "";

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly channels: Channels,
    private readonly statuses: Statuses,
    private readonly environment: ActiveEnvironment,
    private readonly hooks: Omit<Hooks, "gaveUp">,
  ) {}

  /** The client when it can be spoken to. */
  get client(): LanguageClient | null {
    return this.client_?.state === State.Running ? this.client_ : null;
  }

  get state(): ServerState {
    return this.state_;
  }

  get launch(): Launch | null {
    return this.launch_;
  }

  get discovery(): Discovery | null {
    return this.discovery_;
  }

  /** Looks for the server anew and starts it; one that already runs is restarted only if another is meant. */
  refresh(why: string): Promise<void> {
    return this.enqueue(why, false);
  }

  /** Stops it, waits until it is gone, and starts what is found now. */
  restart(why: string): Promise<void> {
    return this.enqueue(why, true);
  }

  /** The workspace is trusted from now on. */
  async trust(): Promise<void> {
    // What may be started now may differ; the same server keeps running and is told.
    await this.refresh("the workspace is trusted now");
    await this.client?.sendNotification(WORKSPACE_TRUST, { trusted: true });
  }

  async stop(): Promise<void> {
    const client = this.client_;
    this.client_ = null;
    this.launch_ = null;
    this.statuses.forget();
    if (client === null) return;
    try {
      if (client.needsStop()) await client.stop(6_000); // it may be at a training step
    } catch (error) {
      this.channels.client.warn(`Stopping the server: ${String(error)}`);
    }
    await client.dispose().catch(() => undefined);
    this.set("stopped");
  }

  async dispose(): Promise<void> {
    await this.work.catch(() => undefined);
    await this.stop();
    this.stateChanged.dispose();
    this.missing.dispose();
  }

  /** One runs, at most one waits: a third request is the one that waits. */
  private enqueue(why: string, always: boolean): Promise<void> {
    if (this.queued !== null) {
      this.always ||= always;
      return this.queued;
    }
    this.always = always;
    const next = this.work
      .catch(() => undefined)
      .then(() => {
        this.queued = null;
        return this.perform(why, this.always);
      });
    this.queued = next;
    this.work = next;
    return next;
  }

  private always = false;

  private async perform(why: string, always: boolean): Promise<void> {
    const log = this.channels.client;
    log.info(`${always ? "Restart" : "Check"} of the server: ${why}`);
    const around = surroundings(this.context, await this.environment.python());
    const script = bundled(this.context, "probe.py");
    const found = await discover(around, (launch) => examine(launch, files, script));
    this.discovery_ = found;
    for (const line of found.log) log.info(line);
    const launch = found.chosen?.candidate.launch ?? null;
    if (!always && sameLaunch(launch, this.launch_) && this.client_ !== null) {
      log.info("It is the server that runs already.");
      return;
    }
    await this.stop();
    if (launch === null) {
      this.set("absent");
      if (found.problem !== null && found.problem !== this.told) {
        this.told = found.problem;
        this.missing.fire(found);
      }
      return;
    }
    this.told = "";
    await this.start(launch);
  }

  private async start(launch: Launch): Promise<void> {
    this.set("starting");
    const client = createClient(launch, this.channels, { ...this.hooks, gaveUp: () => this.set("gone") });
    this.client_ = client;
    this.launch_ = launch;
    this.statuses.follow(client);
    client.onDidChangeState(({ newState }) => {
      if (client !== this.client_ || this.state_ === "gone") return;
      if (newState === State.Running) this.set("running");
      if (newState === State.Starting) this.set("starting");
      // What a server said that is gone is not true any more.
      if (newState !== State.Running) this.statuses.clear();
    });
    try {
      await client.start();
      const about = client.initializeResult?.serverInfo;
      this.channels.client.info(`${about?.name ?? "The server"} ${about?.version ?? ""} runs.`);
    } catch (error) {
      this.channels.client.error(`The server did not start: ${String(error)}`);
      this.set("gone");
    }
  }

  private set(state: ServerState): void {
    if (state === this.state_) return;
    this.state_ = state;
    this.stateChanged.fire(state);
  }
}
