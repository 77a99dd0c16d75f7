// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {HallmarkRegistry} from "../../../contracts/HallmarkRegistry.sol";
import {HallmarkRouter} from "../../../contracts/HallmarkRouter.sol";
import {IHallmarkRegistry} from "../../../contracts/interfaces/IHallmarkRegistry.sol";
import {IHallmarkRouter} from "../../../contracts/interfaces/IHallmarkRouter.sol";
import {CreditCommittedVerifier} from "../golden/CreditCommittedVerifier.sol";
import {Call} from "../utils/Call.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Router and registry around a real verifier with committed weights, and real proofs of two of its models: an update of the model
/// without a new contract.
contract CommittedModelsTest is LibraryTest {
    using Call for bytes;

    HallmarkRouter private router;
    HallmarkRegistry private registry;
    CreditCommittedVerifier private verifier;
    bytes32 private architecture;

    /// @dev Calls of `verify`, weights and ids of the first model and of the retrained one.
    bytes[2] private calls;
    bytes32[2] private ids;

    function setUp() public {
        vm.warp(NOW);
        bytes memory arguments = abi.encode(OWNER, GUARDIAN, 2 days);
        router = HallmarkRouter(Deploy.made("HallmarkRouter", "HallmarkRouter", arguments));
        registry = HallmarkRegistry(Deploy.made("HallmarkRegistry", "HallmarkRegistry", arguments));
        (address deployed,) = Deploy.fresh("CreditCommittedVerifier");
        verifier = CreditCommittedVerifier(deployed);
        architecture = verifier.ARCHITECTURE_ID();
        string[2] memory files = ["CreditCommittedVerifier/applicant0", "CreditCommittedVerifier/retrained0"];
        for (uint256 i = 0; i < 2; i++) {
            calls[i] = Call.load(files[i]);
            ids[i] = verifier.modelId(weights(i));
        }
        HallmarkCall.Shape memory shape = HallmarkCall.Shape(2, 1, 0, 16);
        executed(router, abi.encodeCall(HallmarkRouter.addRoute, (architecture, deployed, deployed.codehash, shape)));
    }

    function weights(uint256 model) private view returns (uint256[2] memory) {
        bytes memory call = calls[model];
        return [call.word(1), call.word(2)];
    }

    function approve(uint256 model) private {
        uint64 until = type(uint64).max;
        executed(registry, abi.encodeCall(HallmarkRegistry.approve, (architecture, ids[model], 0, until)));
    }

    function test_theRouterTakesEachProofForItsOwnModel() public {
        for (uint256 i = 0; i < 2; i++) {
            router.verifyModel(architecture, ids[i], calls[i]);
            bytes memory other = abi.encodeWithSelector(IHallmarkRouter.AnotherModel.selector, ids[1 - i], ids[i]);
            vm.expectRevert(other);
            router.verifyModel(architecture, ids[1 - i], calls[i]);
        }
    }

    /// @dev Another model's weights with this model's proof: the id is approved, the proof is not of it.
    function test_theVerifierBehindTheRouterRefusesOtherWeights() public {
        bytes memory call = calls[0];
        uint256[2] memory other = weights(1);
        call.setPoint(1, other[0], other[1]);
        reverts(CreditCommittedVerifier.ProofRejected.selector);
        router.verifyModel(architecture, ids[1], call);
    }

    /// @dev The registry refuses a model, and says why.
    function refuses(uint256 model, IHallmarkRegistry.Status status) private {
        uint256[2] memory given = weights(model);
        bytes4 error_ = IHallmarkRegistry.ModelNotApproved.selector;
        vm.expectRevert(abi.encodeWithSelector(error_, architecture, ids[model], status));
        registry.requireApproved(architecture, given);
    }

    function test_aModelIsUpdatedWithoutANewContract() public {
        approve(0);
        same(uint256(ids[0]), uint256(registry.requireApproved(architecture, weights(0))), "the first model");
        refuses(1, IHallmarkRegistry.Status.Unknown);

        approve(1);
        vm.prank(OWNER);
        registry.revoke(architecture, ids[0]);
        same(uint256(ids[1]), uint256(registry.requireApproved(architecture, weights(1))), "the retrained model");
        router.verifyModel(architecture, ids[1], calls[1]);
        refuses(0, IHallmarkRegistry.Status.Revoked);
    }
}
