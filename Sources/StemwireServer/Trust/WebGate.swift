import Logging
import StemwireProtocol
import StemwireSystem
import Synchronization

/// Knows whose a web token is, by the allow list, which it watches while it runs. Any thread.
public final class WebGate: Sendable {
    /// Who has a token.
    public struct Guest: Sendable, Hashable {
        public let name: String
        public let role: PeerRole
    }

    private let pages: Locked<[AllowList.Page]>
    private let letsIn = Atomic<Bool>(true)
    private let isOver = CountingSemaphore()
    private let thread = Locked<NamedThread?>(nil)

    /// Reads the list, and begins to watch it.
    ///
    /// - Throws: `TrustError`; `SystemError` when there is no thread to be had.
    public init(_ keys: KeyDirectory, logger: Logger) throws {
        let follower = try AllowListFollower(keys)
        pages = Locked(follower.list.pages)
        thread.value = try NamedThread("allow-list") { [weak self, isOver] in
            var follower = follower
            while !isOver.wait(timeout: AllowListFollower.interval) {
                guard let self else { return }
                if follower.look(logger) { self.take(follower.list.pages, logger) }
                self.letsIn.store(follower.isThere, ordering: .releasing)
            }
        }
    }

    /// Ends the watching. Stopping twice does nothing.
    public func stop() {
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let thread else { return }
        isOver.post()
        thread.join()
    }

    deinit { isOver.post() }

    /// Whose token that is; nil for nobody's, or nobody's any more.
    ///
    /// - Parameter isNew: false for one who is in already, and stays while the list cannot be read.
    public func guest(_ token: String, isNew: Bool = true) -> Guest? {
        guard letsIn.load(ordering: .acquiring) || !isNew, let hash = WebToken(token)?.hash else { return nil }
        // All are looked at, so that the time tells nothing.
        return pages.value.reduce(nil) { found, page in
            page.token.isSame(as: hash) ? Guest(name: page.name, role: page.role) : found
        }
    }

    /// How many tokens there are.
    public var count: Int { pages.withLock { $0.count } }

    private func take(_ new: [AllowList.Page], _ logger: Logger) {
        let old = pages.withLock { pages in
            defer { pages = new }
            return pages
        }
        for page in old where !new.contains(page) {
            logger.notice("revoked", metadata: ["page": "\(page.name)", "role": "\(page.role)"])
        }
        for page in new where !old.contains(page) {
            logger.notice("enrolled", metadata: ["page": "\(page.name)", "role": "\(page.role)"])
        }
    }
}
