import ArgumentParser
import StemwireUDF
import StemwireWorker

struct Worker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs UDFs for an acquisition server, on this machine or another.",
        discussion: """
            Workers come and go: what one leaves undone, others do. It connects again by itself when the server or the \
            network was away. For UDFs of your own, see tools/examples/own-worker.
            """)

    @OptionGroup var options: WorkerOptions
    @OptionGroup var settings: SettingsOptions

    func run() async throws {
        let program: WorkerProgram
        do throws(WorkerError) {
            program = try WorkerProgram(options, udfs: .builtIn)
        } catch {
            throw CommandFailure.usage(error.description)
        }
        let exit = await program.run()
        if let message = exit.message { throw CommandFailure(code: exit.code, message: message) }
        if exit.code != 0 { throw ExitCode(exit.code) }
    }
}
