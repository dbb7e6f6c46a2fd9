import StemwireProtocol
import Testing

@testable import StemwireViewer

@Suite("Who may come to the page") struct PageAccessTests {
    private static let access = PageAccess(
        guests: { token, _ in token == "a" ? ViewerGuest(name: "anna", role: .viewer) : nil }, looksOnly: false)

    @Test("a token comes as bearer, once")
    func bearer() throws {
        for header in ["Bearer a", "bearer a", "BEARER  a"] {
            #expect(try Self.access.admit(authorization: [header]).guest?.name == "anna")
        }
        for headers in [[], ["a"], ["Basic a"], ["Bearer"], ["Bearer a b"], ["Bearer a", "Bearer a"]] {
            #expect(throws: PageAccess.Refusal.noToken) { try Self.access.admit(authorization: headers) }
        }
        #expect(throws: PageAccess.Refusal.unknown) { try Self.access.admit(authorization: ["Bearer b"]) }
        #expect(throws: PageAccess.Refusal.unknown) { try Self.access.admit(token: "") }
    }

    @Test("where nobody is asked nobody needs a token, and one that is shown does no harm")
    func open() throws {
        let access = PageAccess(guests: nil, looksOnly: false)
        for headers in [[], ["Bearer x"], ["nonsense"]] {
            let visitor = try access.admit(authorization: headers)
            #expect(visitor.guest == nil && access.permission(visitor, at: nil).mayControl)
        }
    }

    @Test("the least of what viewer, token and key allow is allowed, and why is said")
    func least() {
        func permission(
            look: Bool = false, _ role: PeerRole? = nil, server: PeerRole? = nil
        ) -> PagePermission {
            PagePermission(looksOnly: look, guest: role.map { ViewerGuest(name: "anna", role: $0) }, server: server)
        }
        for role in [PeerRole.controller, .admin, nil] {
            for server in [PeerRole.controller, .worker, .admin, nil] {
                #expect(permission(role, server: server).mayControl)
                #expect(permission(role, server: server).reason.isEmpty)
            }
            #expect(permission(role, server: .viewer).reason.contains("viewer's own key"))
            #expect(!permission(look: true, role, server: .admin).mayControl)
        }
        #expect(permission(.viewer, server: .admin).reason.contains("“anna” is a viewer's"))
    }

    @Test("reading settings needs no more than looking")
    func reading() {
        let viewer = PagePermission(guest: ViewerGuest(name: "anna", role: .viewer))
        var session = ViewerSession(viewer)
        #expect(session.take(.command(number: 1, .settings(["GAIN"]))) == [.command(number: 1, .settings(["GAIN"]))])
        for command in [ViewerCommand.trigger, .stop, .abort, .set("GAIN", to: "1"), .scan(ScanWish())] {
            #expect(session.take(.command(number: 2, command)) == [])
        }
        session.permission = PagePermission(guest: ViewerGuest(name: "anna", role: .controller))
        #expect(session.take(.command(number: 3, .stop)) == [.command(number: 3, .stop)])
    }
}
