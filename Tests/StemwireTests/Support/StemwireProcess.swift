import Foundation
import StemwireSystem
import Testing

/// The `stemwire` program as a process, as it was built beside the tests.
final class StemwireProcess: Sendable {
    /// How a process ended.
    struct Ended: Sendable {
        let code: Int32
        let lines: [String]
        let errors: String

        /// The JSON objects among the lines.
        var objects: [[String: Any]] { lines.compactMap(StemwireProcess.object) }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct Output: Sendable {
        var text = Data()
        var errors = Data()
        var openPipes = 2
    }

    private let output = Locked(Output())
    private let changed = CountingSemaphore()
    private let process = Process()
    private let arguments: [String]

    /// - Parameter shell: commands that a shell does before it becomes the program, such as a limit.
    init(_ arguments: [String], environment: [String: String] = [:], shell: String? = nil) throws {
        self.arguments = arguments
        let program = Self.program
        process.executableURL = shell == nil ? program : URL(fileURLWithPath: "/bin/sh")
        process.arguments = shell.map { ["-c", "\($0) && exec \"$0\" \"$@\"", program.path] + arguments } ?? arguments
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("STEMWIRE_") }
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let pipes = [Pipe(), Pipe()]
        (process.standardOutput, process.standardError) = (pipes[0], pipes[1])
        try process.run()
        for (index, pipe) in pipes.enumerated() {
            let handle = pipe.fileHandleForReading
            let (output, changed) = (output, changed)
            _ = try NamedThread("output") {
                while case let bytes = handle.availableData, !bytes.isEmpty {
                    output.withLock { if index == 0 { $0.text += bytes } else { $0.errors += bytes } }
                    changed.post()
                }
                output.withLock { $0.openPipes -= 1 }
                changed.post()
            }
        }
    }

    /// What is tested: `STEMWIRE_TEST_PROGRAM`, such as a release build, or what was built with the tests.
    static let program =
        ProcessInfo.processInfo.environment["STEMWIRE_TEST_PROGRAM"].map { URL(fileURLWithPath: $0) }
        ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("stemwire")

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Runs a command to its end.
    static func run(_ arguments: String..., limit: Duration = .seconds(120)) async throws -> Ended {
        try await StemwireProcess(arguments).ended(limit: limit)
    }

    static func object(_ line: String) -> [String: Any]? {
        try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    }

    var processID: Int32 { process.processIdentifier }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the line that a server prints when it is ready, and gives its ports.
    func listening() async throws -> [String: Int] {
        let line = try await wait("its listening line", limit: .seconds(120)) { output in
            let lines = String(decoding: output.text, as: UTF8.self).split(
                separator: "\n", omittingEmptySubsequences: false)
            return lines.count > 1 ? String(lines[0]) : nil
        }
        let object = try #require(Self.object(line), "\(line)")
        #expect(object["event"] as? String == "listening")
        return object.compactMapValues { $0 as? Int }
    }

    /// Waits for the end; a process that is too late is killed.
    func ended(limit: Duration = .seconds(120)) async throws -> Ended {
        do {
            let output = try await wait("its end", limit: limit) { $0.openPipes == 0 ? $0 : nil }
            process.waitUntilExit()
            return Ended(
                code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
                lines: String(decoding: output.text, as: UTF8.self).split(separator: "\n").map(String.init),
                errors: String(decoding: output.errors, as: UTF8.self))
        } catch {
            signal(SIGKILL)
            throw error
        }
    }

    private func wait<Value: Sendable>(
        _ what: String, limit: Duration, _ look: @escaping @Sendable (Output) -> Value?
    ) async throws -> Value {
        let (output, changed) = (output, changed)
        let value: Value? = await withCheckedContinuation { continuation in
            let deadline = ContinuousClock.now + limit
            let search = { @Sendable () -> Value? in
                while true {
                    if let value = look(output.value) { return value }
                    guard changed.wait(timeout: deadline - ContinuousClock.now) else { return look(output.value) }
                }
            }
            Thread.detachNewThread { continuation.resume(returning: search()) }
        }
        guard let value else {
            let errors = String(decoding: output.value.errors, as: UTF8.self)
            throw Failure(
                description: "stemwire \(arguments.joined(separator: " ")): \(what) did not come in \(limit): \(errors)"
            )
        }
        return value
    }
}

/// A folder that goes with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
