import ArgumentParser
import Foundation
import Logging
import StemwireKernels

/// The command line: parsing and printing only.
@main
struct StemwireCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stemwire",
        abstract: "Puts a live 4D-STEM detector on the network.",
        discussion: """
            Begin with `stemwire serve --source synthetic` and, in another terminal, `stemwire watch`; then \
            `stemwire ctl arm` and `stemwire ctl trigger`.

            Exit codes: 0 complete, 1 failure, 2 acquisition incomplete (the data are usable, see the accounting), \
            3 peer unreachable, 4 timed out, 64 usage, 130 interrupted.
            """,
        version: "0.1.0",
        subcommands: [
            Sim.self, Serve.self, Relay.self, Adapt.self, Worker.self, Run.self, Watch.self, View.self, Ctl.self,
            Keygen.self, Enrol.self, Enrolled.self, Revoke.self, Doctor.self,
        ])

    static func main() async {
        do {
            do throws(InstructionSetError) {
                try InstructionSet.checkEnvironment()
            } catch {
                throw CommandFailure.usage(error.description)
            }
            let settings = try Settings(
                NavShapeArgument.joined(Array(CommandLine.arguments.dropFirst())),
                environment: ProcessInfo.processInfo.environment)
            // All of it goes through the parser, so that a wrong value is told wherever it stands.
            var command = try parseAsRoot(settings.arguments)
            if settings.printsConfiguration { return settings.show() }
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            Terminal.error("stemwire: \(failure.message)")
            exit(withError: ExitCode(failure.code))
        } catch {
            exit(withError: error)
        }
    }
}

/// What a command ends with when it does not end well.
struct CommandFailure: Error {
    let code: Int32
    let message: String

    static func failure(_ message: String) -> CommandFailure { CommandFailure(code: 1, message: message) }
    static func unreachable(_ message: String) -> CommandFailure { CommandFailure(code: 3, message: message) }
    static func timedOut(_ message: String) -> CommandFailure { CommandFailure(code: 4, message: message) }
    static func usage(_ message: String) -> CommandFailure { CommandFailure(code: 64, message: message) }
    static let interrupted = CommandFailure(code: 130, message: "interrupted")

    /// The code of an acquisition that did not get all its frames.
    static let incompleteCode: Int32 = 2
}
