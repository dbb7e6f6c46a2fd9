// swift-tools-version: 6.1
import PackageDescription

// A package of its own, as yours would be. In yours, the dependency is
//     .package(url: "https://…/stemwire", from: "…")
let package = Package(
    name: "own-worker",
    dependencies: [.package(name: "stemwire", path: "../../..")],
    targets: [
        .executableTarget(
            name: "OwnWorker", dependencies: [.product(name: "StemwireWorker", package: "stemwire")])
    ]
)
