import StemwireAcquisition
import StemwireSystem

/// The way to a source of live frames: a detector, a simulator, an array, or the detector of a server.
///
/// Made by `LiveContext.makeConnection`; no socket is open until an acquisition needs it. Active acquisitions open the
/// data socket for themselves and close it at their end. The first passive one opens it, and it stays open from one
/// acquisition to the next until `close()`, or until the connection is let go: what begins meanwhile is held, and no frame
/// of it is lost, as long as the detector waits. One run at a time can use a connection.
public final class DetectorConnection: Sendable {
    enum Target: Sendable {
        case local(LocalSource)
        case server(address: String)
    }

    let target: Target
    private let state = Locked(State())

    private struct State: Sendable {
        var link: LocalLink?
        /// The acquisition whose settings the link was opened with.
        var owner: ObjectIdentifier?
        var isInUse = false
        var runs = 0
    }

    init(_ target: Target) { self.target = target }

    deinit { state.value.link?.close() }

    /// Closes what a passive acquisition left open; frames that wait are let go. The next one opens it again.
    public func close() async {
        let link = takeLink()
        guard let link else { return }
        _ = try? await onThread("close") { () throws(RunError) in link.close() }
    }

    private func takeLink() -> LocalLink? {
        state.withLock { state in
            defer { (state.link, state.owner) = (nil, nil) }
            return state.link
        }
    }

    /// Takes the connection for a run; `release()` gives it back.
    func acquire() throws(RunError) {
        let isFree = state.withLock { state in
            defer { state.isInUse = true }
            return !state.isInUse
        }
        guard isFree else {
            throw .badRequest("the connection is in use by another run; wait for its end, or make another connection")
        }
    }

    func release() { state.withLock { $0.isInUse = false } }

    /// A name that no other run on the connection has.
    func nextRunName() -> String {
        state.withLock { state in
            state.runs += 1
            return "run-\(state.runs)"
        }
    }

    /// A link for one run. Blocks.
    func linkForOneRun(
        _ source: LocalSource, options: RunOptions, hook: NavShapeResolver.Hook?
    ) throws(RunError) -> LocalLink {
        takeLink()?.close()
        return try LocalLink(source, options: options, holds: false, hook: hook)
    }

    /// The link that stays open, with the settings of `owner`. Blocks.
    func lastingLink(
        _ source: LocalSource, options: RunOptions, hook: NavShapeResolver.Hook?, owner: ObjectIdentifier
    ) throws(RunError) -> LocalLink {
        let known = state.withLock { $0.owner == owner ? $0.link : nil }
        if let known, known.activeSource?.hasEnded != true { return known }
        takeLink()?.close()
        let link = try LocalLink(source, options: options, holds: true, hook: hook)
        state.withLock { ($0.link, $0.owner) = (link, owner) }
        return link
    }
}
