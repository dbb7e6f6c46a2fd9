import ArgumentParser
import Foundation
import StemwireAcquisition
import StemwireClient
import StemwireServer
import StemwireSystem
import ZeroMQ

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Finds out which step fails between here, the server and the detector, and says what to do.",
        discussion: """
            Looks at this machine (libzmq, limits, disk, keys), at the server that --connect names (name, port, key, version, role, \
            live and work socket, its detector), and at the detector that --source names (name, control, data). The detector's data \
            socket takes one client: it is tried only when no server is asked for.

            Exit codes: 0 all is well, 1 something is wrong, 3 somebody cannot be reached.
            """)

    @Option(
        help: ArgumentHelp(
            "The server's control socket. Default: the one of this machine, unless --source is given.",
            valueName: "tcp://HOST:7400"))
    var connect: String?
    @Option(help: ArgumentHelp("The detector.", valueName: "merlin://HOST[:CONTROL,DATA]")) var source: String?
    @OptionGroup var token: TokenOption
    @OptionGroup var keys: KeysOption
    @Option(help: "Folder whose disk is looked at, such as that of the spool.") var directory = "/tmp"
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() async throws {
        var report = DoctorReport(json: json)
        checkMachine(&report)
        let server = connect ?? (source == nil ? "tcp://127.0.0.1:7400" : nil)
        if let server { try await check(server: server, &report) }
        if let source { try await check(detector: source, dataToo: server == nil, &report) }
        if let code = report.exitCode { throw ExitCode(code) }
    }

    // MARK: This machine

    private func checkMachine(_ report: inout DoctorReport) {
        let version = ZMQLibrary.version
        report.note(
            "libzmq", version >= ZMQLibrary.minimumVersion && ZMQLibrary.has(.curve),
            "\(version), \(ZMQLibrary.has(.curve) ? "with" : "without") CURVE",
            "install libzmq \(ZMQLibrary.minimumVersion) or later, built with libsodium")
        let descriptors = Machine.raiseDescriptorLimit(to: 65536)
        report.note(
            "open files", descriptors >= 4096, "\(descriptors) may be open",
            "raise the limit: LimitNOFILE= of the systemd unit, or `ulimit -Hn`")
        let memory = Machine.memoryBytes
        report.note(
            "memory", memory >= 1 << 30, "\(memory >> 20) MiB",
            "frames need memory: --ring must fit, with room for results")
        if let free = Machine.freeDiskBytes(directory) {
            report.note(
                "disk", free >= 1 << 30, "\(free >> 20) MiB free in \(directory)", "make room, or choose another folder"
            )
        } else {
            report.note(
                "disk", false, "\(directory) cannot be looked at", "name a folder that is there with --directory")
        }
        guard keys.directory.isThere || keys.keys != nil else {
            return report.skip("keys", "none in \(keys.directory.path): only this machine can be served, or --insecure")
        }
        do throws(TrustError) {
            _ = try keys.directory.serverKeys()
            let list = try keys.directory.allowList()
            report.note(
                "keys", list.problems.isEmpty,
                "\(list.entries.count) enrolled in \(keys.directory.path)\(list.problems.map { "; \($0)" }.joined())",
                "mend or remove the lines of allow.list that cannot be read: they let nobody in")
        } catch {
            report.note("keys", false, error.description, "see above")
        }
    }

    // MARK: The server

    private func check(server text: String, _ report: inout DoctorReport) async throws {
        let endpoint: ServerEndpoint
        do throws(ConnectError) {
            endpoint = try ServerEndpoint(text)
        } catch {
            throw CommandFailure.usage(error.description)
        }
        let token = try token.read()
        let connection: StemwireConnection
        do throws(ConnectError) {
            connection = try await StemwireConnection.connect(
                to: text, timeout: .seconds(3), options: ConnectionOptions(clientName: "stemwire doctor", token: token))
        } catch {
            let isAway =
                switch error {
                case .nobodyThere, .timedOut, .notStemwire: true
                default: false
                }
            return report.note("server \(endpoint)", false, error.description, "see above", isUnreachable: isAway)
        }
        let info = connection.server
        let role = info.role.map { ", as \($0) (\(info.peer))" } ?? ""
        report.note("server \(endpoint)", true, "\(info.server), protocol \(info.version)\(role)", "")
        let events = connection.events()
        do throws(SubscriptionError) {
            try await Self.within(.seconds(3)) { () async throws(SubscriptionError) in try await events.subscribed() }
            report.note("live socket", true, "port \(info.livePort)", "")
        } catch {
            report.note(
                "live socket", false, "port \(info.livePort): \(error)",
                "let the firewall pass this port too", isUnreachable: true)
        }
        if info.workPort == 0 {
            report.skip("work socket", "a relay has none")
        } else {
            await checkWork(connection, &report)
        }
        if let status = try? await connection.status() {
            report.note(
                "the server's detector", status.detector.dataConnected,
                status.detector.dataConnected ? "\(status.detector.source) connected" : status.detector.reason,
                "check its machine, its ports and the server's --source; `stemwire doctor --source` tries it from here",
                isUnreachable: true)
            report.note(
                "the server's memory", status.ring.slotsFree > 0,
                "\(status.ring.slotsFree) of \(status.ring.slotsTotal) slots free",
                "work is behind: more workers, or a larger --ring")
        }
        await connection.close()
    }

    /// Asks for frames that nobody has: any answer will do.
    private func checkWork(_ connection: StemwireConnection, _ report: inout DoctorReport) async {
        let port = connection.server.workPort
        do throws(FetchError) {
            _ = try await connection.fetchAll(acquisition: .random(), first: 0, count: 1, patience: .seconds(3))
            report.note("work socket", true, "port \(port)", "")
        } catch {
            if case .refused(let failure) = error, failure.code == .notFound {
                return report.note("work socket", true, "port \(port)", "")
            }
            report.note(
                "work socket", false, "port \(port): \(error)", "let the firewall pass this port too",
                isUnreachable: true)
        }
    }

    private static func within(
        _ limit: Duration, _ body: @escaping @Sendable () async throws(SubscriptionError) -> Void
    ) async throws(SubscriptionError) {
        let result = await withTaskGroup(of: Result<Void, SubscriptionError>?.self) { group in
            group.addTask {
                do throws(SubscriptionError) {
                    return .success(try await body())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        guard let result else { throw .system("no connection within \(limit)") }
        try result.get()
    }

    // MARK: The detector

    private func check(detector text: String, dataToo: Bool, _ report: inout DoctorReport) async throws {
        guard case .merlin(let host, let controlPort, let dataPort) = try sourceLocator(text) else {
            throw CommandFailure.usage("--source: a detector is named like merlin://HOST[:CONTROL,DATA]")
        }
        let address: [String]
        do throws(SystemError) {
            address = try HostName.addresses(of: host)
        } catch {
            return report.note(
                "the detector's name", false, "\(error)", "check the host's name, or use its number",
                isUnreachable: true)
        }
        report.note("the detector's name", true, "\(host) is \(address.joined(separator: ", "))", "")
        let control = MerlinControl(host: host, port: controlPort, timeout: .seconds(3))
        do throws(MerlinControlError) {
            try control.connect()
            let status = try control.get("DETECTORSTATUS")
            report.note("the detector's control", true, "port \(controlPort), status \(status)", "")
        } catch {
            report.note(
                "the detector's control", false, "port \(controlPort): \(error)",
                "is the detector's software running, is its remote control on, does the firewall of its machine let port \(controlPort) pass?",
                isUnreachable: true)
        }
        control.disconnect()
        guard dataToo else { return report.skip("the detector's data", "not tried: it takes one client, the server") }
        do throws(SystemError) {
            _ = try TCPConnection.connect(host: host, port: dataPort, timeout: .seconds(3))
            report.note("the detector's data", true, "port \(dataPort) takes connections", "")
        } catch {
            report.note(
                "the detector's data", false, "port \(dataPort): \(error)",
                "it takes one client: stop the one that has it; else check the port and the firewall",
                isUnreachable: true)
        }
    }
}

/// What `doctor` has found, told step by step.
struct DoctorReport {
    let json: Bool
    private(set) var exitCode: Int32?

    init(json: Bool) { self.json = json }

    mutating func note(
        _ step: String, _ isGood: Bool, _ found: String, _ advice: String, isUnreachable: Bool = false
    ) {
        if !isGood { exitCode = exitCode == 1 || !isUnreachable ? 1 : 3 }
        tell(step, isGood ? "ok" : "FAILED", found, isGood ? "" : advice)
    }

    func skip(_ step: String, _ why: String) { tell(step, "skipped", why, "") }

    private func tell(_ step: String, _ outcome: String, _ found: String, _ advice: String) {
        if json {
            Terminal.json(["step": step, "outcome": outcome.lowercased(), "found": found, "advice": advice])
            return
        }
        Terminal.print("\(outcome.padding(toLength: 8, withPad: " ", startingAt: 0)) \(step): \(found)")
        if !advice.isEmpty, advice != "see above" { Terminal.print("         → \(advice)") }
    }
}
