import StemwireClient
import StemwireUDF

/// UDFs over the next acquisition of an acquisition server.
public struct RemoteRun: Sendable {
    public let host: String
    public let port: Int
    public let requests: [UDFRequest]
    public let options: RunOptions

    public init(host: String, port: Int = 7400, requests: [UDFRequest], options: RunOptions = RunOptions()) {
        self.host = host
        self.port = port
        self.requests = requests
        self.options = options
    }

    /// Starts the run on the server, arms and triggers if `options.trigger` says so, and follows it to its end.
    /// Cancelling the task stops the run, not the acquisition.
    ///
    /// - Throws: `RunError`.
    public func run(
        progress: @escaping @Sendable (RunProgress) -> Void = { _ in }
    ) async throws(RunError) -> RunOutcome {
        let engine = RemoteEngine(
            address: host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)", requests: requests,
            options: options, isActive: options.trigger != nil)
        let procedure = RunProcedure(
            engine: engine, opening: options.trigger.map { .start($0) } ?? .none,
            observer: RunObserver(progress: progress))
        do {
            return try await procedure.run()
        } catch let error as RunError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
    }
}
